//! AVERAGE_POOL_2D, MAX_POOL_2D, and MEAN over rows and columns.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, Hw, PoolParams};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, nhwc};
use crate::npu::{Pool, PoolKind, Work};

/// An average pooling.
pub fn average(index: &Index, op: OpId, params: &PoolParams) -> Selected {
    pool(index, op, params, PoolKind::Average)
}

/// A maximum pooling.
pub fn maximum(index: &Index, op: OpId, params: &PoolParams) -> Selected {
    pool(index, op, params, PoolKind::Maximum)
}

fn pool(index: &Index, op: OpId, params: &PoolParams, kind: PoolKind) -> Selected {
    let input = index.operand(op, 0)?;
    let [images, h, w, channels] = nhwc(index.tensor(input))?;
    let [_, oh, ow, _] = nhwc(index.tensor(index.result(op)))?;
    let (window, size) = (params.window, Hw { h, w });
    let windows = params.windows(size).ok_or_else(|| {
        Unsupported::new(format!(
            "windows of {}x{} do not fit a map of {h}x{w}",
            window.h, window.w
        ))
    })?;
    let pool = Pool {
        kind,
        input,
        images,
        input_size: size,
        output_size: Hw { h: oh, w: ow },
        channels,
        window,
        stride: params.stride,
        pad: Hw {
            h: windows.h.before,
            w: windows.w.before,
        },
    };
    Ok((Work::Pool(pool), params.activation))
}

/// A mean over rows and columns.
pub fn mean(index: &Index, op: OpId) -> Selected {
    let input = index.operand(op, 0)?;
    let [images, h, w, channels] = nhwc(index.tensor(input))?;
    let mut axes: Vec<i64> = index
        .ints(index.operand(op, 1)?)
        .ok_or_else(|| Unsupported::new("the axes are computed at run time"))?
        .iter()
        .map(|&axis| if axis < 0 { axis + 4 } else { axis })
        .collect();
    axes.sort_unstable();
    axes.dedup();
    if axes != [1, 2] {
        return Err(Unsupported::new(format!(
            "a mean over axes {axes:?} instead of rows and columns"
        )));
    }
    let (whole, one) = (Hw { h, w }, Hw { h: 1, w: 1 });
    let pool = Pool {
        kind: PoolKind::Mean,
        input,
        images,
        input_size: whole,
        output_size: one,
        channels,
        window: whole,
        stride: one,
        pad: Hw { h: 0, w: 0 },
    };
    Ok((Work::Pool(pool), Activation::None))
}
